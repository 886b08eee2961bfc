//! The whole path, from an app's pixel to a real browser and from a key to the app.
//!
//! Needs Chromium, and for the nested desktops sway, weston and foot.

#![forbid(unsafe_code)]

mod access;
mod clipboard;
mod colours;
mod decoding;
mod default_sink;
mod demo;
mod desktops;
mod firefox;
mod formats;
mod hostile;
mod identity;
mod in_use;
mod keyboard;
mod microphone;
mod pads;
mod picture;
mod pointer;
mod proxy;
mod relay;
mod rest;
mod scale;
mod several;
mod shown;
mod sign_in;
mod sound;
mod step;
mod tls;
mod typing;
mod viewers;
mod vouched;
