//! Records and constants that the kernel probes and the program share.
#![no_std]
