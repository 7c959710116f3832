export { intersect } from './intersection.js';
export {
  type AnswerFrame,
  decodeInterest,
  encodeAnswer,
  encodeUpdate,
  type FilterChange,
  type InterestFrame,
  type Refusal,
  type UpdateFrame,
  type UpdateHead,
  Verdict,
} from './interest-frames.js';
export {
  type AppliedInterest,
  type InterestLimits,
  InterestReceiver,
  type InterestReceiverPorts,
} from './interest-receiver.js';
export { type InterestImage, InterestSender, type InterestSenderPorts } from './interest-sender.js';
export { type InterestChanges, LocalInterest, type LocalInterestOptions } from './local-interest.js';
export { type PeerMatcher, RemoteInterest, type WantedQoS } from './remote-interest.js';
export { SubackGate } from './suback-gate.js';
export { TopicFilters } from './topic-filters.js';
