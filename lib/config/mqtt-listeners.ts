/** Names in `addresses` of the gateway, log lines and the configuration: `listeners.<name>Port`. */
export type ListenerName = 'mqtt' | 'ws' | 'tls' | 'wss';

/** A listener that is opened, and the keys that say where. */
export interface MqttListener {
  readonly name: ListenerName;
  readonly host: string;
  readonly hostKey: 'listeners.host' | 'listeners.tls.host';
  /** 0 is any free one. */
  readonly port: number;
  readonly portKey: `listeners.${ListenerName}Port`;
}

/** What `listeners` says of addresses and ports, defaults filled in. */
export interface ListenerKeys {
  readonly host: string;
  readonly mqttPort: number | false;
  readonly wsPort: number | false;
  readonly tlsPort: number | false;
  readonly wssPort: number | false;
  readonly tls?: { readonly host: string } | undefined;
}

/** The listeners that are opened; those that are off reach nobody, whatever their address. */
export function mqttListeners(keys: ListenerKeys): MqttListener[] {
  const { host } = keys;
  const plain = { host, hostKey: 'listeners.host' } as const;
  const tlsHost = keys.tls?.host ?? host;
  // Where both are the same the second one is nearly always the default, which is the first.
  const secure = tlsHost === host ? plain : ({ host: tlsHost, hostKey: 'listeners.tls.host' } as const);
  const all = [
    { name: 'mqtt', ...plain, port: keys.mqttPort },
    { name: 'ws', ...plain, port: keys.wsPort },
    { name: 'tls', ...secure, port: keys.tlsPort },
    { name: 'wss', ...secure, port: keys.wssPort },
  ] as const;
  return all.flatMap(({ port, ...rest }): MqttListener[] =>
    port === false ? [] : [{ ...rest, port, portKey: `listeners.${rest.name}Port` }],
  );
}
