//! Bad input through the real binaries: each gets a clear message or a closed connection, and
//! nobody else is affected.

#![forbid(unsafe_code)]

mod command_line;
mod data_channel;
mod gateway;
mod start;
