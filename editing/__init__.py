"""The editor: a session as one document, what it looks like, and the page in which it is changed."""
