//! RingKernel.
