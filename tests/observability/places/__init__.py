"""An app with one model, for projects of tests that need one; without an admin, which would outlive them."""
