import type { IPublishPacket } from 'mqtt';

type PublishProperties = NonNullable<IPublishPacket['properties']>;

/**
 * The properties of an archived message as MQTT.js takes them. What it has no name for is left out.
 * @param text JSON of lib/protocol's Properties, correlation data in base64
 */
export function parseStoredProperties(text: string | undefined): PublishProperties | undefined {
  if (text === undefined) return undefined;
  const stored: unknown = JSON.parse(text);
  if (typeof stored !== 'object' || stored === null) return undefined;
  const { payloadFormatIndicator, contentType, responseTopic, correlationData, userProperties } =
    stored as Readonly<Record<string, unknown>>;
  const pairs = userPropertiesOf(userProperties);
  return {
    ...(payloadFormatIndicator === undefined
      ? {}
      : { payloadFormatIndicator: Number(payloadFormatIndicator) === 1 }),
    ...(typeof contentType === 'string' ? { contentType } : {}),
    ...(typeof responseTopic === 'string' ? { responseTopic } : {}),
    ...(typeof correlationData === 'string'
      ? { correlationData: Buffer.from(correlationData, 'base64') }
      : {}),
    ...(pairs === undefined ? {} : { userProperties: pairs }),
  };
}

/** Pairs by their names; MQTT.js does not know in which order different names were. */
function userPropertiesOf(stored: unknown): Record<string, string[]> | undefined {
  if (!Array.isArray(stored)) return undefined;
  const all = Object.create(null) as Record<string, string[]>;
  for (const pair of stored) {
    const [name, value]: unknown[] = Array.isArray(pair) ? pair : [];
    if (typeof name === 'string' && typeof value === 'string') (all[name] ??= []).push(value);
  }
  return all;
}
