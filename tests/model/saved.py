"""Small models with random weights, saved to a folder as their libraries save them."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from model.schema import ModalityKind


def saved_text(folder: Path) -> str:
    """Save a small BERT with random weights and its tokenizer."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *["good", "fine", "day", "bad", "rainy", "night"],
    ]
    (folder / "vocab.txt").write_text("\n".join(words))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    BertModel(config).save_pretrained(folder)
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    return f"hf:{folder}"


def saved_image(folder: Path) -> str:
    """Save a small vision transformer with random weights."""
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=8,
    )
    ViTModel(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return f"hf:{folder}"


def saved_audio(folder: Path) -> str:
    """Save a small wav2vec2 with random weights."""
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8, 8),
        conv_stride=(5, 4),
        conv_kernel=(10, 8),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
    )
    Wav2Vec2Model(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return f"hf:{folder}"


def saved_spectrogram(folder: Path) -> str:
    """Save a small audio spectrogram transformer with random weights."""
    from transformers import ASTConfig, ASTFeatureExtractor, ASTModel

    torch.manual_seed(0)
    config = ASTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_length=64,
        num_mel_bins=32,
    )
    ASTModel(config).save_pretrained(folder)
    ASTFeatureExtractor(max_length=64, num_mel_bins=32).save_pretrained(folder)
    return f"hf:{folder}"


def saved_video(folder: Path) -> str:
    """Save a small VideoMAE with random weights."""
    from transformers import VideoMAEConfig, VideoMAEImageProcessor, VideoMAEModel

    torch.manual_seed(0)
    config = VideoMAEConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=16,
        num_frames=4,
    )
    VideoMAEModel(config).save_pretrained(folder)
    VideoMAEImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)
    return f"hf:{folder}"


def saved_timm(folder: Path) -> str:
    """Save a small network of timm's with random weights."""
    import timm

    torch.manual_seed(0)
    net = timm.create_model("test_byobnet", pretrained=False)
    timm.models.save_for_hf(net, folder, safe_serialization=True)
    return f"timm:{folder}"


def saved_clip(folder: Path) -> str:
    """Save a small CLIP with random weights."""
    from open_clip import CLIP
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model_cfg = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 8},
        "text_cfg": {
            "context_length": 16,
            "vocab_size": 49408,
            "width": 16,
            "heads": 2,
            "layers": 1,
        },
    }
    config = {"model_cfg": model_cfg, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file(CLIP(**model_cfg).state_dict(), folder / "open_clip_model.safetensors")
    return f"open_clip:{folder}"


SAVED = {
    "timm": (ModalityKind.IMAGE, saved_timm),
    "clip-image": (ModalityKind.IMAGE, saved_clip),
    "clip-text": (ModalityKind.TEXT, saved_clip),
    "text": (ModalityKind.TEXT, saved_text),
    "image": (ModalityKind.IMAGE, saved_image),
    "audio": (ModalityKind.AUDIO, saved_audio),
    "audio-spectrogram": (ModalityKind.AUDIO, saved_spectrogram),
    "video": (ModalityKind.VIDEO, saved_video),
}
