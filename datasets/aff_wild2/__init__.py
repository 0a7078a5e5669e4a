"""Aff-Wild2 with the annotations of the ABAW challenges: aligned faces, three tasks a frame, sound where there is any.

Kollias and Zafeiriou, "Expression, Affect, Action Unit Recognition: Aff-Wild2, Multi-Task Learning and ArcFace",
BMVC 2019. As published:

    6th ABAW Annotations/VA_Estimation_Challenge/Train_Set/VIDEO.txt    and Validation_Set; likewise
        EXPR_Recognition_Challenge (5th: EXPR_Classification_Challenge) and AU_Detection_Challenge
    cropped_aligned/VIDEO/00001.jpg ...     112x112, a picture a frame; frames without a face are missing
    batch1/VIDEO.mp4 ...                    the videos (.mp4 or .avi), in any folder; optional
    audio/VIDEO.wav                         their sound, where ffmpeg is not installed; optional

`VIDEO_left` and `VIDEO_right` are two people in one VIDEO.
"""

from __future__ import annotations

from datasets.aff_wild2.clips import make_clip, recipe
from datasets.aff_wild2.frames import frames_of

__all__ = ["frames_of", "make_clip", "recipe"]
