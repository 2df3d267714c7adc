"""How the book's evidence is made, and kept."""

from ..extras import require

require(__name__, "lab", "accelerate", "scipy", "skimage", "sklearn", "tqdm")
