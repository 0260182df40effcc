"""What the commands beside this folder do: here is all that needs torch."""
