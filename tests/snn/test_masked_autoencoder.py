"""The autoencoder of faces: what is masked, what the loss is of, places, and the encoder that is left."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neuva import NeuvaError
from snn.baselines.masked_autoencoder import (
    MEAN,
    STD,
    AutoencoderSpec,
    FaceEncoder,
    MaskedAutoencoder,
    prepare,
    sine_positions,
)

SPEC = AutoencoderSpec(32, 8, 16, 2, 2, 16, 1, 2)


@pytest.fixture(scope="module")
def net() -> MaskedAutoencoder:
    torch.manual_seed(0)
    return MaskedAutoencoder(SPEC)


def faces(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def patch(image: torch.Tensor, number: int) -> torch.Tensor:
    """Pixels of a patch as one would read them: row by row, RGB."""
    y, x = divmod(number, 4)
    return image[:, 8 * y : 8 * y + 8, 8 * x : 8 * x + 8].permute(1, 2, 0).flatten()


def test_three_quarters_are_masked_in_every_picture_and_others_each_time(net: MaskedAutoencoder) -> None:
    given = [net(faces(40)).mask for _ in range(2)]
    assert all((mask.sum(1) == 12).all() for mask in given)
    assert not torch.equal(*given)
    assert not torch.equal(given[0][0], given[0][1])


def test_the_loss_is_of_the_masked_patches_alone(net: MaskedAutoencoder) -> None:
    images = faces()
    given = net(images)
    errors = torch.stack(
        [
            torch.stack([(given.patches[b, p] - patch(images[b], p)).square().mean() for p in range(16)])
            for b in range(3)
        ]
    )
    masked = given.mask.bool()
    assert given.loss.item() == pytest.approx(errors[masked].mean().item(), rel=1e-5)
    assert given.loss.item() != pytest.approx(errors.mean().item(), rel=1e-4)  # that of all patches is another


def test_what_is_masked_does_not_reach_the_encoder(net: MaskedAutoencoder) -> None:
    images = faces(1)
    torch.manual_seed(5)
    before = net(images)
    hidden = int(before.mask[0].nonzero()[0])
    y, x = divmod(hidden, 4)
    images[:, :, 8 * y : 8 * y + 8, 8 * x : 8 * x + 8] += 1
    torch.manual_seed(5)
    after = net(images)
    assert torch.equal(before.mask, after.mask)
    assert torch.equal(before.patches, after.patches)
    assert before.loss != after.loss


def test_places_are_those_of_the_published_networks(net: MaskedAutoencoder) -> None:
    from transformers.models.vit_mae.modeling_vit_mae import build_2d_sinusoidal_position_embedding

    theirs = build_2d_sinusoidal_position_embedding(4, 4, 16, cls_token=True)
    theirs = torch.cat([theirs[:, 8:], theirs[:, :8]], 1)  # published weights have the columns first
    assert torch.allclose(sine_positions(4, 16)[0], theirs, atol=1e-6)
    assert torch.equal(net.model.vit.embeddings.position_embeddings, sine_positions(4, 16))
    assert torch.equal(net.model.decoder.decoder_pos_embed, sine_positions(4, 16))


def test_places_matter() -> None:
    """A network that is told no places paints every masked patch alike."""
    torch.manual_seed(0)
    net = MaskedAutoencoder(SPEC)
    given = net(faces(1))
    painted = given.patches[0, given.mask[0].bool()]
    assert not torch.allclose(painted[0], painted[1])
    net.model.decoder.decoder_pos_embed.data.zero_()
    given = net(faces(1))
    painted = given.patches[0, given.mask[0].bool()]
    assert torch.allclose(painted[0], painted[1], atol=1e-6)


def test_the_gradient_reaches_every_weight(net: MaskedAutoencoder) -> None:
    net.zero_grad()
    net(faces()).loss.backward()
    still = {name for name, p in net.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())}
    assert all(name.endswith("k_proj.bias") for name in still)  # softmax takes no notice of what all keys have
    assert not net.model.vit.embeddings.position_embeddings.requires_grad
    net.zero_grad()


def test_the_encoder_sees_every_patch_and_gives_the_same_each_time(net: MaskedAutoencoder) -> None:
    torch.manual_seed(0)
    encoder = FaceEncoder.of(net, 8).eval()
    images = faces(2)
    with torch.no_grad():
        features = encoder.features(images)
        assert features.shape == (2, 16)
        assert encoder(images).shape == (2, 8)
        assert torch.equal(features, encoder.features(images))
        for number in range(16):
            y, x = divmod(number, 4)
            other = images.clone()
            other[:, :, 8 * y : 8 * y + 8, 8 * x : 8 * x + 8] += 1
            assert not torch.allclose(encoder.features(other), features, atol=1e-5)


def test_the_encoder_is_the_autoencoders(net: MaskedAutoencoder) -> None:
    encoder, other = FaceEncoder.of(net, 8).eval(), FaceEncoder(SPEC, 8).eval()
    whole = net.model.vit.config.mask_ratio
    net.model.vit.config.mask_ratio = 0.0
    with torch.no_grad():
        theirs = net.model.vit(faces()).last_hidden_state[:, 0]
        ours = encoder.features(faces())
        net.model.vit.config.mask_ratio = whole
        assert torch.allclose(theirs, ours, atol=1e-5)
        assert not torch.allclose(theirs, other.features(faces()), atol=1e-2)
    assert not any("decoder" in name for name, _ in encoder.named_parameters())


def test_the_gradient_of_expressions_reaches_the_first_layer(net: MaskedAutoencoder) -> None:
    encoder = FaceEncoder.of(net, 8)
    torch.nn.functional.cross_entropy(encoder(faces()), torch.tensor([0, 3, 7])).backward()
    assert all(
        p.grad is not None and p.grad.any()
        for name, p in encoder.named_parameters()
        if p.requires_grad and not name.endswith("k_proj.bias")
    )


def old_names(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As transformers 4 published them."""
    renamed = {}
    for name, value in weights.items():
        parts = name.replace("vit.layers.", "vit.encoder.layer.")
        for new, old in (
            ("attention.q_proj", "attention.attention.query"),
            ("attention.k_proj", "attention.attention.key"),
            ("attention.v_proj", "attention.attention.value"),
            ("attention.o_proj", "attention.output.dense"),
            ("mlp.fc1", "intermediate.dense"),
            ("mlp.fc2", "output.dense"),
        ):
            parts = parts.replace(new, old)
        renamed[parts] = value
    return renamed


@pytest.mark.parametrize("named", [dict, old_names])
def test_weights_are_taken_by_their_names_old_and_new(net: MaskedAutoencoder, named: type) -> None:
    other = MaskedAutoencoder(SPEC)
    other.take(named(net.model.state_dict()), "weights.pt")
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))


def test_weights_of_an_encoder_alone_leave_the_decoder_as_it_is(net: MaskedAutoencoder) -> None:
    other = MaskedAutoencoder(SPEC)
    decoder = [p.clone() for p in other.model.decoder.parameters()]
    other.take(net.model.vit.state_dict(), "weights.pt")
    pairs = zip(other.model.vit.parameters(), net.model.vit.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert all(torch.equal(a, b) for a, b in zip(decoder, other.model.decoder.parameters(), strict=True))


def test_weights_that_lack_something_or_are_of_another_size_are_refused(net: MaskedAutoencoder) -> None:
    weights = net.model.vit.state_dict()
    with pytest.raises(NeuvaError, match=r"faces\.pt: lacks"):
        net.take({name: value for name, value in weights.items() if "layers.1" not in name}, "faces.pt")
    with pytest.raises(NeuvaError, match=r"faces\.pt: .* size"):
        MaskedAutoencoder(AutoencoderSpec(32, 8, 32, 2, 2, 16, 1, 2)).take(weights, "faces.pt")


def test_pictures_are_scaled_and_normalised() -> None:
    grey = np.full((2, 10, 10, 3), 51, np.uint8)
    given = prepare(grey, 32)
    assert given.shape == (2, 3, 32, 32)
    for channel in range(3):
        expected = torch.full((2, 32, 32), (0.2 - MEAN[channel]) / STD[channel])
        assert torch.allclose(given[:, channel], expected, atol=1e-5)
    left_red = np.zeros((1, 8, 8, 3), np.uint8)
    left_red[:, :, :4, 0] = 255
    small = prepare(left_red, 4)[0, 0] * STD[0] + MEAN[0]
    assert small[:, 0].min() > 0.8
    assert small[:, 3].max() < 0.2


@pytest.mark.parametrize(
    "wrong",
    [{"side": 30}, {"heads": 3}, {"width": 18}, {"decoder_heads": 5}, {"masked": 0.7}, {"masked": 1.0}, {"patch": 0}],
)
def test_sizes_that_do_not_fit_are_refused(wrong: dict) -> None:
    with pytest.raises(NeuvaError):
        AutoencoderSpec(**{"side": 32, "patch": 8, "width": 16, "heads": 2, "decoder_heads": 2, **wrong})
