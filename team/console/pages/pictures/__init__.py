"""Pictures that the server draws of a page's value, as SVG without styles: classes say what is meant."""
