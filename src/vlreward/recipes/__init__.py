"""Complete configurations as functions: their arguments are what a user decides."""
