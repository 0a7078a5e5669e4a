"""Stores: one HDF5 file a data set, written clip by clip (`StoreWriter`) and read Tonic-style (`EventStore`)."""

from __future__ import annotations

from datasets.store.dataset import EventStore
from datasets.store.layout import Header
from datasets.store.summary import StoreSummary, summarize
from datasets.store.writer import StoreWriter
from datasets.store.writing import StoredClip, write_store

__all__ = ["EventStore", "Header", "StoreSummary", "StoreWriter", "StoredClip", "summarize", "write_store"]
