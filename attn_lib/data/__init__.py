"""Images to look at and to learn from.

inside packages of Python, so nothing is downloaded (scikit-image, scikit-learn):
photographs        CC0 or public domain (scikit-image), CC BY 2.0 (scikit-learn); see `PHOTOGRAPHS`
cluttered digits   1,797 handwritten digits of 8×8 pixels (`sklearn.datasets.load_digits`, BSD; UCI
                   Optical Recognition of Handwritten Digits, CC BY 4.0), placed on canvases here
cued, sized and paired digits: the same, in tasks that want one kind of attention each

your own: `folder`, a folder for each class, or `Pictures` of any (image, label) pairs

a package of Debian, or downloads by torchvision:
Fashion-MNIST and others; see `REAL`, which has their sizes, licences and sources
"""

from ..extras import require

require(__name__, "lab", "skimage", "sklearn")

from .digits import SPLITS, cluttered_digits, digit_examples
from .located import LocatedImages
from .photographs import PHOTOGRAPHS, photograph
from .pictures import Pictures, folder
from .real import REAL, RealSet, real_images
from .tasks import cued_digits, paired_digits, sized_digits

__all__ = [
    "PHOTOGRAPHS",
    "REAL",
    "SPLITS",
    "LocatedImages",
    "Pictures",
    "RealSet",
    "cluttered_digits",
    "cued_digits",
    "digit_examples",
    "folder",
    "paired_digits",
    "photograph",
    "real_images",
    "sized_digits",
]
