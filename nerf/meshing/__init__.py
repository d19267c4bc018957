"""From a field to a textured mesh."""
