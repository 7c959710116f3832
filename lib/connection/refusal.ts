import type { ProtocolError } from '../protocol/protocol-error.js';
import { ReasonCode } from '../protocol/reason-code.js';
import type { CloseReason } from '../session/environment.js';
import { C } from '../telemetry/counters.js';
import type { Refusal } from './environment.js';

/** Why the registry does not give out a client id. */
export function claimRefusal(reasonCode: number): Refusal {
  switch (reasonCode) {
    case ReasonCode.notAuthorized:
      return {
        reasonCode,
        text: 'the client id has a session of another user, or of one without a name: take another id, or end that session',
        counter: C.connectionRefusedNotAuthorized,
      };
    case ReasonCode.quotaExceeded:
      return { reasonCode, text: 'limits.sessionsMax is reached', counter: C.connectionRefusedLimit };
    case ReasonCode.serverBusy:
      return {
        reasonCode,
        text: 'a newer connection with this client id came while this one waited',
        counter: C.connectionRefusedLimit,
      };
    default:
      return {
        reasonCode,
        text: 'connections of this client id replace each other too quickly (limits.takeoversMaxCount)',
        counter: C.connectionRefusedLimit,
      };
  }
}

export const WILL_REFUSAL: Refusal = {
  reasonCode: ReasonCode.notAuthorized,
  text: 'not authorized to publish to the will topic',
  counter: C.connectionRefusedNotAuthorized,
};

/** @param offered names of the methods that there are. */
export function methodRefusal(offered: readonly string[]): Refusal {
  return {
    reasonCode: ReasonCode.badAuthenticationMethod,
    text: `this authentication method is not offered here; offered: ${offered.join(', ') || 'none'}`,
    counter: C.connectionRefusedCredentials,
  };
}

/** Why credentials do not let a client in; the reason code is the authenticator's. */
export function credentialsRefusal(reasonCode: number): Refusal {
  switch (reasonCode) {
    case ReasonCode.badUserNameOrPassword:
      return {
        reasonCode,
        text: 'the user name or password is wrong',
        counter: C.connectionRefusedCredentials,
      };
    case ReasonCode.serverUnavailable:
      return { reasonCode, text: 'credentials cannot be checked now', counter: C.connectionRefusedLimit };
    default:
      return { reasonCode, text: 'not authorized to connect', counter: C.connectionRefusedNotAuthorized };
  }
}

/** What CONNACK says where the connection would be told `reason` in DISCONNECT: the codes are not the same. */
export function refusalInsteadOf(reason: CloseReason): Refusal {
  return {
    reasonCode:
      reason.code === ReasonCode.sessionTakenOver ? ReasonCode.serverBusy : ReasonCode.serverUnavailable,
    text: reason.text,
    counter: C.connectionRefusedClosed,
  };
}

export function protocolRefusal(error: ProtocolError): Refusal {
  const tooLarge = error.reasonCode === ReasonCode.packetTooLarge;
  return {
    reasonCode: error.reasonCode,
    text: error.message,
    counter: tooLarge ? C.connectionRefusedTooLarge : C.connectionRefusedProtocol,
  };
}
