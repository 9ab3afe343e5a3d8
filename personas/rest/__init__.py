"""JSON over HTTP: requests to the REST interface of a service outside, with retries; knows no service."""
