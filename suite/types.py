"""Names for the tensors that cross folders, so that shape and range are decided once.

Legend of axes: `b` batch, `v` views or vertices, `f` frames or faces, `c h w` image, `n` rays or points,
`s` samples on a ray, `*n` any batch.
"""

from jaxtyping import Float
from torch import Tensor

Images = Float[Tensor, "b 3 h w"]  # RGB in [0, 1], float32
Masks = Float[Tensor, "b 1 h w"]  # coverage in [0, 1]
Frames = Float[Tensor, "b f 3 h w"]  # RGB in [0, 1], float32
Latents = Float[Tensor, "b c y x"]  # what a prior diffuses; y, x: its own pixels, not the image's h, w
Diffused = Float[Tensor, "b *cyx"]  # the same of any samples: pictures, or clips `b f c y x`
Times = Float[Tensor, " b"]  # diffusion time in (0, 1]; 0 is clean, 1 is noise
