//! What a host under a service manager holds: the manager, what it was configured with, and how to read that
//! anew.

use lumen_ipc_runtime::log::Filter;

use super::super::{config_files::Rereading, manager::Manager};
use crate::config::HostConfig;

/// The service manager, and the configuration that it may have read anew.
pub(in super::super) struct Managed {
    pub(super) manager: Manager,
    /// What the host was started with, but for what has taken effect since.
    pub(super) config: HostConfig,
    pub(super) again: Rereading,
    pub(super) levels: Filter,
    /// The options whose new values wait for a restart.
    pub(super) waiting: Vec<&'static str>,
}

impl Managed {
    pub(in super::super) const fn new(
        manager: Manager,
        config: HostConfig,
        again: Rereading,
        levels: Filter,
    ) -> Self {
        Self { manager, config, again, levels, waiting: Vec::new() }
    }
}
