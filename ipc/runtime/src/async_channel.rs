//! A [`Channel`] for code that runs on a tokio runtime: the same messages, awaited.

use std::{io, os::fd::BorrowedFd, sync::Arc};

use lumen_ipc::codec::Message;
use tokio::io::unix::AsyncFd;

use crate::{
    channel::{Channel, ReceiveError, Received, SendError},
    ffi,
};

/// A channel registered with the tokio runtime in which it was made.
#[derive(Debug)]
pub struct AsyncChannel<In, Out>(AsyncFd<Arc<Channel<In, Out>>>);

impl<In: Message, Out: Message> AsyncChannel<In, Out> {
    /// Registers `channel`, which others may share to send on it; call it inside a tokio runtime.
    ///
    /// # Errors
    /// The error of epoll.
    pub fn new(channel: impl Into<Arc<Channel<In, Out>>>) -> io::Result<Self> {
        ffi::watch(channel.into()).map(Self)
    }

    /// The channel, for sending without waiting.
    #[must_use]
    pub fn channel(&self) -> &Channel<In, Out> {
        self.0.get_ref()
    }

    /// Waits for a message. Dropping the future loses no message.
    ///
    /// # Errors
    /// As [`Channel::receive`], but never [`ReceiveError::Empty`].
    pub async fn receive(&self) -> Result<Received<In>, ReceiveError> {
        loop {
            let mut ready = self.0.readable().await.map_err(ReceiveError::Io)?;
            match self.channel().receive() {
                Err(ReceiveError::Empty) => ready.clear_ready(),
                outcome => return outcome,
            }
        }
    }

    /// Sends a message, waiting while the link is full. Dropping the future sends all or nothing.
    ///
    /// # Errors
    /// As [`Channel::send`], but never [`SendError::Full`].
    pub async fn send(
        &self,
        message: &Out,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), SendError> {
        loop {
            let mut ready = self.0.writable().await.map_err(SendError::Io)?;
            match self.channel().send(message, descriptors) {
                Err(SendError::Full) => ready.clear_ready(),
                outcome => return outcome,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::{
        message::packets::{ToMedia, ToRtc},
        units::StreamId,
    };

    use super::*;

    #[tokio::test]
    async fn receive_waits_for_the_message() {
        let (media, rtc) = Channel::<ToMedia, ToRtc>::pair().expect("socketpair");
        let media = AsyncChannel::new(media).expect("epoll");
        let sent = ToMedia::RingConsumed { stream: StreamId::VIDEO, position: 7 };
        let (received, ()) = tokio::join!(media.receive(), async {
            tokio::task::yield_now().await;
            rtc.send(&sent, &[]).expect("room");
        });
        assert_eq!(received.expect("a message").message, sent);
    }

    #[tokio::test]
    async fn receive_after_the_other_end_closed_says_so() {
        let (media, rtc) = Channel::<ToMedia, ToRtc>::pair().expect("socketpair");
        let media = AsyncChannel::new(media).expect("epoll");
        drop(rtc);
        assert!(matches!(media.receive().await, Err(ReceiveError::Closed)));
    }
}
