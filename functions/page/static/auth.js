// Finds out how people sign in here: by Supabase, or without a sign-in in the local system.
import { isGateway, isRefusal } from "./api.js";
import { DEVELOPMENT, developmentAuth } from "./development.js";
import { json, send, strange } from "./net.js";
import { supabaseAuth } from "./supabase.js";

/** Resolves to the way to sign in, or to null when there is none. Throws Unreachable when our server does not answer properly. */
export async function openAuth(root) {
  const response = await send(new URL("home/settings/whatsapp/config.json", root));
  const config = json(response);
  const { supabaseUrl, supabaseAnonKey } = config;
  if (!response.ok || typeof supabaseAnonKey !== "string") throw strange(response);
  if (!supabaseAnonKey) return openDevelopment(root);
  if (!isAddress(supabaseUrl)) throw strange(response);
  return supabaseAuth(config);
}

async function openDevelopment(root) {
  const response = await send(new URL("dev/config", root), DEVELOPMENT);
  const config = json(response);
  if (response.status === 404 && (isRefusal(response) || isGateway(response, "Not Found"))) return null; // no local system
  if (!response.ok || typeof config.whatsapp !== "string") throw strange(response);
  return developmentAuth(root, config);
}

function isAddress(text) {
  try {
    return /^https?:$/.test(new URL(text).protocol);
  } catch {
    return false;
  }
}
