//! The worker as the supervisor sees it: acquire, confine, serve.

use lumen_ipc::{process::Worker as WorkerName, service::CompositorConfig};
use lumen_ipc_runtime::{
    bootstrap::{Grant, ServeError, StartError, Supervision, Worker},
    confine::Policy,
    metrics::Registry,
};

use crate::{
    policy,
    shell::{Compositor, Shell},
};

/// The compositor as a worker.
pub struct CompositorWorker {
    shell: Shell,
    metrics: Registry,
}

impl Worker for CompositorWorker {
    const WORKER: WorkerName = WorkerName::Compositor;
    type Config = CompositorConfig;

    /// Compiles the keymap, which reads files, and maps the first frame.
    fn acquire(config: CompositorConfig, grants: Vec<Grant>) -> Result<Self, StartError> {
        let compositor = Compositor::new(&config)
            .map_err(|error| StartError::caused("cannot set up the desktop", error))?;
        let metrics = compositor.state.metrics.registry.clone();
        let mut shell = Shell::new(compositor)
            .map_err(|error| StartError::caused("cannot set up the event loop", error))?;
        for grant in grants {
            let what = grant.what;
            shell
                .grant(grant)
                .map_err(|error| StartError::caused(format!("cannot use grant {what:?}"), error))?;
        }
        Ok(Self { shell, metrics })
    }

    fn metrics(&self) -> Registry {
        self.metrics.clone()
    }

    fn policy(&self) -> Policy {
        policy::policy()
    }

    fn serve(self, supervision: Supervision) -> Result<(), ServeError> {
        self.shell.serve(supervision)
    }
}
