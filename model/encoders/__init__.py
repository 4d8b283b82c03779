"""Encoders: how each kind of modality becomes a vector, by name."""

from model.encoders.base import Encoder, Module
from model.encoders.registry import ENCODERS, encoder_for

__all__ = ["ENCODERS", "Encoder", "Module", "encoder_for"]
