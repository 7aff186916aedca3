"""Commands of the command line that are more than one request to the running box. Each file is one of them."""
