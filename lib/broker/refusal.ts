/** What a client is told when a hook of the embedder refuses it, as Aedes documents. */
import type { Refusal } from '../connection/environment.js';
import type { ProtocolVersion } from '../protocol/packet.js';
import { ReasonCode } from '../protocol/reason-code.js';
import { C } from '../telemetry/counters.js';
import type { HookError } from './aedes-internals.js';

/** By `error.returnCode`, a return code of 3.1.1. */
const REASON_BY_RETURN_CODE: Readonly<Record<number, number>> = {
  2: ReasonCode.clientIdentifierNotValid,
  3: ReasonCode.serverUnavailable,
  4: ReasonCode.badUserNameOrPassword,
  5: ReasonCode.notAuthorized,
};

const TEXTS: Readonly<Record<number, string>> = {
  [ReasonCode.clientIdentifierNotValid]: 'identifier rejected',
  [ReasonCode.serverUnavailable]: 'server unavailable',
  [ReasonCode.badUserNameOrPassword]: 'bad user name or password',
};

/** An error with a server reference redirects a v5 client; any other closes without CONNACK, as Aedes does. */
export function preConnectRefusal(error: HookError | null | undefined, version: ProtocolVersion): Refusal {
  return (
    redirect(error, version) ?? {
      reasonCode: ReasonCode.notAuthorized,
      text: error?.message || 'refused by preConnect',
      counter: C.connectionRefusedHook,
      silent: true,
    }
  );
}

/** The error's message is for the embedder's events, not for a stranger: CONNACK has a general one. */
export function authenticateRefusal(error: HookError | null | undefined, version: ProtocolVersion): Refusal {
  const moved = redirect(error, version);
  if (moved !== undefined) return moved;
  const reasonCode = REASON_BY_RETURN_CODE[error?.returnCode ?? 5] ?? ReasonCode.notAuthorized;
  return { reasonCode, text: TEXTS[reasonCode] ?? 'not authorized', counter: C.connectionRefusedHook };
}

/** The hook threw: why is not the client's to know. */
export const BROKEN_HOOK: Refusal = {
  reasonCode: ReasonCode.serverUnavailable,
  text: 'credentials cannot be checked now',
  counter: C.connectionRefusedHook,
};

function redirect(error: HookError | null | undefined, version: ProtocolVersion): Refusal | undefined {
  if (!error?.serverReference || version !== 5) return undefined;
  const moved = error.reasonCode === ReasonCode.serverMoved;
  return {
    reasonCode: moved ? ReasonCode.serverMoved : ReasonCode.useAnotherServer,
    text: moved ? 'the server moved' : 'use another server',
    counter: C.connectionRefusedHook,
    properties: { serverReference: error.serverReference },
  };
}
