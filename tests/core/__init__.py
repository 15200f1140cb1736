"""The core, held against the contract on a virtual clock."""
