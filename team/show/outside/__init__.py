"""What goes outside and comes from there, in lines for people."""
