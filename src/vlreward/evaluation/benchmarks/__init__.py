"""What each benchmark's rows look like, how many there are, and how its figures are computed."""
