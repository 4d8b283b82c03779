"""Encoders: how each kind of modality becomes a vector, by name."""

from model.encoders.base import Encoder, Module
from model.encoders.registry import ENCODERS, encoder_for
from model.encoders.views import View, columns, measured

__all__ = ["ENCODERS", "Encoder", "Module", "View", "columns", "encoder_for", "measured"]
