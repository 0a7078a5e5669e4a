"""Synthetic faces with known affect: rendered, labelled, without any picture of a real person.

An identity (who) and a path through valence and arousal give action units, these and random
behaviour give moving features, and those are painted, lit and turned into frames. `ClipSpec` says
which clip, `render_clip` makes it, `clip_specs` lists a data set's clips with disjoint people.
"""

from datasets.faces.action_units import AU_NAMES, EXPRESSIONS, affect_to_units, expression_class
from datasets.faces.clips import BOX_SIDE, LIGHTINGS, SPLITS, Clip, ClipSpec, clip_specs, render_clip
from datasets.faces.identity import Identity
from datasets.faces.sheet import contact_sheet, write_contact_sheet

__all__ = [
    "AU_NAMES",
    "BOX_SIDE",
    "EXPRESSIONS",
    "LIGHTINGS",
    "SPLITS",
    "Clip",
    "ClipSpec",
    "Identity",
    "affect_to_units",
    "clip_specs",
    "contact_sheet",
    "expression_class",
    "render_clip",
    "write_contact_sheet",
]
