"""What a surface is made of, and how it answers the light around it."""
