"""Texts to what Stable Diffusion's U-Nets attend to, encoded here rather than by a pipeline.

    1.x, 2.x    tokens = final_layer_norm(h[-1 - skip])       (2.x's last layer is not in the encoder)
    XL          tokens = [h_1[-2 - skip], h_2[-2 - skip]],  pooled = projection of h_2's end of text

    all         bag = mean embedding of the text's words, which no layer has put in context; 0 for ""

where h are the hidden states of a CLIP text model and `skip` is clip_skip. (diffusers' own clip_skip for 1.x
and 2.x breaks with transformers 5.6 and later: huggingface/diffusers#14124.)
"""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from suite.errors import UserError

logger = logging.getLogger(__name__)


class ClipText(nn.Module):
    """One CLIP text encoder, or XL's two.

    Args:
        encoders: CLIPTextModel; for XL also a CLIPTextModelWithProjection.
        tokenizers: One each.
        clip_skip: Layers to leave out at the end, beside those that the family always does; 0 to a few.
    """

    def __init__(
        self, *, encoders: Sequence[nn.Module], tokenizers: Sequence[Any], clip_skip: int = 0
    ) -> None:
        super().__init__()
        layers = min(encoder.config.num_hidden_layers for encoder in encoders)
        most = layers - (2 if len(encoders) > 1 else 1)
        if not 0 <= clip_skip <= most:
            raise UserError(
                f"clip_skip is 0 to {most} for this text encoder of {layers} layers, got {clip_skip}."
            )
        self.encoders, self.tokenizers, self.clip_skip = nn.ModuleList(encoders), tuple(tokenizers), clip_skip

    def forward(self, texts: Sequence[str]) -> dict[str, Float[Tensor, "b ..."]]:
        """{"tokens": b l d, "bag": b d}, and "pooled": b p for XL, in float32."""
        ids = [self._ids(i, texts) for i in range(len(self.encoders))]
        bag = torch.cat([self._bag(i, of_texts) for i, of_texts in enumerate(ids)], dim=-1)
        if len(self.encoders) == 1:
            return {"tokens": self._normalized(ids[0]).float(), "bag": bag}
        outputs = [encoder(x, output_hidden_states=True) for encoder, x in zip(self.encoders, ids)]
        states = [output.hidden_states[-2 - self.clip_skip] for output in outputs]
        tokens, pooled = torch.cat(states, dim=-1).float(), outputs[-1].text_embeds.float()
        return {"tokens": tokens, "bag": bag, "pooled": pooled}

    def _bag(self, i: int, ids: Int[Tensor, "b l"]) -> Float[Tensor, "b d"]:
        tokenizer = self.tokenizers[i]
        ended = (ids == tokenizer.eos_token_id).cumsum(1) > 0
        of_words = (~ended & (ids != tokenizer.bos_token_id)).float()[..., None]
        embedded = self.encoders[i].get_input_embeddings()(ids).float()
        return (embedded * of_words).sum(1) / of_words.sum(1).clamp(min=1)

    def _normalized(self, ids: Int[Tensor, "b l"]) -> Float[Tensor, "b l d"]:
        (encoder,) = self.encoders
        output = encoder(ids, output_hidden_states=self.clip_skip > 0)
        if self.clip_skip == 0:
            return output.last_hidden_state
        inner = getattr(encoder, "text_model", encoder)  # transformers 5.6 dropped the inner module
        return inner.final_layer_norm(output.hidden_states[-1 - self.clip_skip])

    def _ids(self, i: int, texts: Sequence[str]) -> Int[Tensor, "b l"]:
        tokenizer, length = self.tokenizers[i], self.encoders[i].config.max_position_embeddings
        for text in texts:
            if len(tokenizer(text).input_ids) > length:
                logger.warning("Only the first %d tokens of the prompt are read: %r", length - 2, text)
        batch = tokenizer(
            list(texts), padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        )
        return batch.input_ids.to(next(self.encoders[i].parameters()).device)
