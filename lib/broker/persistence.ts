/**
 * The persistence that Aedes wants and the lanes do not need: it stores nothing, does no I/O and answers with resolved
 * promises, so that nothing can happen between the parts of Aedes's handshake.
 */
export function createInertPersistence(): Record<string, unknown> {
  const nothing = async (): Promise<void> => {};
  const none = async (): Promise<never[]> => [];
  // What is iterable serves as a stream of Aedes, for a third of the garbage.
  const empty = (): never[] => [];
  return {
    // Aedes looks at the constructor of this function: it has to be an async one.
    setup: async (): Promise<void> => {},
    storeRetained: nothing,
    createRetainedStream: empty,
    createRetainedStreamCombi: empty,
    addSubscriptions: nothing,
    removeSubscriptions: nothing,
    subscriptionsByClient: none,
    countOffline: async () => ({ subsCount: 0, clientsCount: 0 }),
    subscriptionsByTopic: none,
    cleanSubscriptions: nothing,
    outgoingEnqueue: nothing,
    outgoingEnqueueCombi: nothing,
    outgoingUpdate: nothing,
    outgoingClearMessageId: nothing,
    outgoingStream: empty,
    incomingStorePacket: nothing,
    incomingGetPacket: nothing,
    incomingDelPacket: nothing,
    putWill: nothing,
    getWill: nothing,
    delWill: nothing,
    streamWill: empty,
    getClientList: empty,
    destroy: nothing,
  };
}
