"""A study: its file, what it may say, what is run on what, and what each job is given."""
