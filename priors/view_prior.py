"""The role of view-conditioned priors: shown one picture, they are asked for other views of what it shows."""

from abc import abstractmethod
from collections.abc import Sequence

from priors.base import Condition, Prior
from priors.prompts import ViewPrompts
from suite.errors import UserError
from suite.geometry.cameras import Cameras
from suite.types import Images


class ViewPrior(Prior):
    """A prior that is told a picture, the camera that took it, and the cameras whose views are wanted.

    Say with `show` which picture it is asked about, or with each `embed`.

    Attributes:
        start: The time at which sampling its views begins where nobody says: see `priors.view_sampling`.
    """

    start: float = 1.0

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[Images, Cameras] | None = None

    @abstractmethod
    def show(self, image: Images, reference: Cameras) -> None:
        """The picture that `embed` speaks of from now on where it is given none, and the camera that took it."""

    @abstractmethod
    def condition_of(
        self, texts: Sequence[str], cameras: Cameras, image: Images | None, reference: Cameras | None
    ) -> Condition:
        """The condition of each camera; without an image it is about what was shown.

        Args:
            texts: Every text that the prompts have.
        """

    def expected(
        self, cameras: Cameras, image: Images | None = None, *, reference: Cameras | None = None
    ) -> Images | None:
        """The mean of what may be seen from each camera, where a prior can tell without sampling.

        Args:
            image, reference: As `embed` takes them.
        """
        return None

    def embed(
        self,
        prompts: Sequence[str] | ViewPrompts,
        cameras: Cameras | None = None,
        image: Images | None = None,
        *,
        reference: Cameras | None = None,
    ) -> Condition:
        """The condition of each camera.

        Args:
            prompts: One a camera; what a concrete prior reads of them, it says itself.
            cameras: The views that are wanted. Without cameras it is that of the texts alone, by `encode_text`.
            image: The picture, one or, for priors that take several, one each; None is the one that was shown last.
            reference: The camera that took it, one a picture.

        Raises:
            ValueError: Cameras, picture or reference are missing, or their numbers differ.
        """
        if cameras is None:
            if image is not None:
                raise ValueError("embed needs cameras=, the views of the picture that are wanted.")
            return super().embed(prompts)
        if isinstance(prompts, str) or len(prompts) != len(cameras):
            raise ValueError(
                f"embed takes one text a camera, got {len(cameras)} cameras and {prompts!r:.80}."
            )
        if image is not None and (reference is None or len(reference) != len(image)):
            raise ValueError("embed needs reference=, the cameras that took image=: one a picture.")
        if image is None and reference is not None:
            raise ValueError(
                "embed got reference= without image=; give both, or show(image, reference) once."
            )
        if image is None and self._shown is None:
            raise ValueError(
                f"{type(self).__name__} needs a picture: show(image, reference) it once, or give embed image= "
                "and reference=."
            )
        self.camera_contract.check(cameras)
        texts = prompts.texts if isinstance(prompts, ViewPrompts) else prompts
        return self.condition_of(texts, cameras, image, reference)


def check_told_words(prior: Prior) -> None:
    """Raises:
    UserError: The prior is told a picture: words alone say nothing to it.
    """
    if isinstance(prior, ViewPrior):
        raise UserError(
            f"{type(prior).__name__} is not told words, but a picture. Type prior=pocket, exact or sd15; from a "
            "picture, suite image_to_3d image=FILE."
        )
