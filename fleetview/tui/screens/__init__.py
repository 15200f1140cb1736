"""One module a screen, each with its .tcss of the same name beside it."""
