//! Sees when the administrator's files change.

use std::time::Duration;

use super::{
    super::event::{Event, Events},
    PairFiles,
};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Reads the files anew whenever they have changed, for ever. They are read only when they have stayed as
/// they are for a moment: a certificate and its key are seldom replaced at one and the same time. Files may
/// be on a disk that does not answer, so they are looked at outside the loop.
pub(crate) async fn watch(files: PairFiles, events: Events) {
    let (mut handled, mut seen) = (None, None);
    loop {
        let looking = files.clone();
        let Ok(stamps) = tokio::task::spawn_blocking(move || looking.stamps()).await else {
            return;
        };
        let settled = seen == Some(stamps);
        seen = Some(stamps);
        if handled.is_none() {
            handled = Some(stamps);
        }
        if settled && handled != Some(stamps) {
            handled = Some(stamps);
            let reading = files.clone();
            let Ok(read) = tokio::task::spawn_blocking(move || reading.read()).await else {
                return;
            };
            if events.send(Event::CertificateRead(read)).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}
