//! Emitters: one file or folder a device language.
