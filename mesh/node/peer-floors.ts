/** How far the own log is kept for another gateway: the floors of the store that are of peers. */
import { type GatewayId, parseGatewayId } from '../../lib/contracts/gateway-id.js';

const PREFIX = 'peer/';

export function floorName(gateway: GatewayId): string {
  return PREFIX + gateway;
}

/** undefined: it is the floor of something else. */
export function gatewayOfFloor(name: string): GatewayId | undefined {
  return name.startsWith(PREFIX) ? parseGatewayId(name.slice(PREFIX.length)) : undefined;
}
