"""How the book's evidence is made, and kept."""
