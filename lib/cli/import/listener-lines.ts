import type { Directive } from './directive.js';
import { EVERY_ADDRESS, flagOf, isTls, isWebSocketKind, type Listener } from './listener.js';
import type { ListenerAddress } from './listener-address.js';
import { type ListenerChoice, sharersOf } from './listener-choice.js';
import { LISTENER_RULES } from './listener-rules.js';
import { notNeeded, notUnderstood, taken, takenWithCare, unsupported, type Outcome } from './outcome.js';
import { wholeNumberOf } from './rule.js';

/** What is known when the lines of one listener that is taken over are judged. */
export interface ListenerView {
  readonly listener: Listener;
  readonly choice: ListenerChoice;
  readonly address: ListenerAddress;
}

type ListenerLine = (view: ListenerView, value: string) => Outcome;

const portKey = ({ kind }: Listener): string => `listeners.${kind}Port`;

function withHost({ listener, address }: ListenerView, settings: Record<string, number>): Outcome {
  const { key, host, heldBack } = address;
  const all = { [key]: host, ...settings };
  if (heldBack !== undefined) return takenWithCare(all, `on ${listener.host} there: ${heldBack}`);
  if (host === listener.host) return taken(all);
  return taken(all, `on ${listener.host} there: ${sharersOf(listener.kind)} have one address`);
}

const tlsFile =
  (name: string, key: string): ListenerLine =>
  ({ listener, choice }, value) => {
    if (!isTls(listener.section))
      return notUnderstood('certfile and keyfile go together: one of them is missing');
    const first = choice.taken.get('tls') ?? choice.taken.get('wss');
    if (first?.section.lines.get(name)?.value === value) return taken({ [key]: value });
    return unsupported(
      'there is one certificate for all listeners',
      `see that the one of port ${first?.port ?? 0} names this host, too`,
    );
  };

const cafile: ListenerLine = ({ listener, choice }, value) => {
  if (!isTls(listener.section)) return notNeeded('this listener speaks no TLS');
  if (!flagOf(listener.section, 'require_certificate'))
    return notNeeded('it is for certificates of clients, and require_certificate is not true');
  const asking = [...choice.taken.values()].find((each) => flagOf(each.section, 'require_certificate'));
  if (asking?.section.lines.get('cafile')?.value === value) return taken({ 'listeners.tls.caFile': value });
  return unsupported(
    'there is one file of authorities for all listeners',
    'write the authorities into one file (cat) and name it in listeners.tls.caFile',
  );
};

const requireCertificate: ListenerLine = ({ listener, choice }, value) => {
  if (!isTls(listener.section)) return notNeeded('this listener speaks no TLS');
  const secure = [choice.taken.get('tls'), choice.taken.get('wss')].filter((each) => each !== undefined);
  const asking = secure.filter(({ section }) => flagOf(section, 'require_certificate'));
  if (asking.length === 0) return taken({ 'listeners.tls.requireClientCertificate': false });
  const settings = { 'listeners.tls.requireClientCertificate': true };
  if (asking.length === secure.length) return taken(settings);
  return takenWithCare(settings, `${value} for this listener there: it is the same for all TLS listeners`);
};

const maxConnections: ListenerLine = ({ choice }, value) => {
  if (wholeNumberOf(value) === undefined)
    return notUnderstood(`${JSON.stringify(value)} is not a whole number`);
  const limits = [...choice.taken.values()].map(({ section }) =>
    wholeNumberOf(section.lines.get('max_connections')?.value ?? '-1'),
  );
  const sum = limits.reduce<number>(
    (total, limit) => (limit === undefined || limit < 1 ? Number.NaN : total + limit),
    0,
  );
  if (Number.isNaN(sum))
    return notNeeded('limits.connectionsMax is for all listeners, and not all of them have a limit');
  return taken(
    { 'limits.connectionsMax': sum },
    limits.length === 1 ? undefined : 'the sum of all listeners, whichever clients use',
  );
};

const protocol: ListenerLine = ({ listener }, value) => {
  if (value !== 'mqtt' && value !== 'websockets')
    return notUnderstood(`${JSON.stringify(value)} is neither mqtt nor websockets`);
  return taken(
    { [portKey(listener)]: listener.port },
    isWebSocketKind(listener.kind)
      ? 'the path is listeners.wsPath alone; mosquitto takes every path'
      : undefined,
  );
};

const socketDomain: ListenerLine = (view, value) => {
  if (value !== 'ipv4' && value !== 'ipv6')
    return notUnderstood(`${JSON.stringify(value)} is neither ipv4 nor ipv6`);
  const { key, host } = view.address;
  return value === 'ipv6' && host === EVERY_ADDRESS
    ? taken({ [key]: host }, 'it takes IPv4 as well')
    : withHost(view, {});
};

const LINES: Readonly<Record<string, ListenerLine>> = {
  listener: (view) => withHost(view, { [portKey(view.listener)]: view.listener.port }),
  port: (view) => withHost(view, { [portKey(view.listener)]: view.listener.port }),
  bind_address: (view) => withHost(view, {}),
  socket_domain: socketDomain,
  protocol,
  max_connections: maxConnections,
  certfile: tlsFile('certfile', 'listeners.tls.certFile'),
  keyfile: tlsFile('keyfile', 'listeners.tls.keyFile'),
  cafile,
  require_certificate: requireCertificate,
};

/** What becomes of a line of a listener that is taken over; undefined where the name is none of a listener's. */
export function judgeListenerLine({ name, value }: Directive, view: ListenerView): Outcome | undefined {
  const line = LINES[name];
  if (line !== undefined) return line(view, value);
  return LISTENER_RULES[name]?.(value);
}
