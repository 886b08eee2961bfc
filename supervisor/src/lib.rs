//! `lumen`: the parent of every worker, and the command line. (Page below as modules land.)

pub mod admin;
pub mod broker;
pub mod config;
pub mod lifecycle;
pub mod plan;
