"""What the commands of these names do, apart from their options: torch takes seconds to import."""
