"""The one error that reading or writing the contract raises."""


class WireError(ValueError):
    """A topic or payload that the contract does not allow. Its text names the field, the value and what is wrong."""
