"""Stores: one HDF5 file a data set, written clip by clip (`StoreWriter`) and read Tonic-style (`EventStore`)."""

from __future__ import annotations

from datasets.store.dataset import EventStore
from datasets.store.writer import StoreWriter

__all__ = ["EventStore", "StoreWriter"]
