"""A project with a user model of its own: no username, another kind of primary key, no permissions kept, no admin."""
