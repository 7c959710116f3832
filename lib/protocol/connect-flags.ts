/** Connect Flags [MQTT 5, section 3.1.2.3]; the QoS of the will is two bits at WILL_QOS_SHIFT. */
export const ConnectFlag = {
  reserved: 0x01,
  cleanStart: 0x02,
  will: 0x04,
  willQoS: 0x18,
  willRetain: 0x20,
  password: 0x40,
  username: 0x80,
} as const;
export const WILL_QOS_SHIFT = 3;

/** Set on the level byte, before MQTT 5, by bridges of mosquitto and of brokers that follow it. */
export const BRIDGE_BIT = 0x80;
