/** Starts the inspector. */
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Inspector } from './Inspector.tsx';
import '../styles/tokens.css';
import '../styles/base.css';
import './inspect.css';

const root = document.getElementById('root');
if (root) {
  createRoot(root).render(
    <StrictMode>
      <Inspector />
    </StrictMode>,
  );
}
