"""The pages of the console: templates that show the values of the API's routes."""
